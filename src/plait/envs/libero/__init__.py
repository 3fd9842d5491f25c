"""LIBERO's manipulation tasks for a Panda arm (Liu et al., 2023), and LIBERO-PRO's changed ones.

Needs `pip install 'plait[libero]'` and, for its pictures, OpenGL.
"""
