"""Meta-World's 50 tasks for a Sawyer arm, seen by a camera (Yu et al., 2019).

Needs `pip install 'plait[metaworld]'` and, for its pictures, OpenGL.
"""
