"""The MuJoCo model of a scene: table, objects, containers and the gripper, as MJCF text.

The gripper hangs from three slides (x, y, z) and three hinges (yaw, pitch, roll) whose axes meet
between the fingertips, so that a rotation turns it about the point it works at. Six servos track a
set-point that moves at the commanded velocity; the fingers are coupled and close with limited
force. Nothing is ever attached to anything: what is lifted is held by friction.
"""

import mujoco

from plait.envs.tabletop.scene import (
    BALL_RADIUS,
    BOX_HALF,
    BOX_HEIGHT,
    BOX_WALL,
    COLOURS,
    CROSS_ARM,
    CROSS_HALF,
    CROSS_WIDTH,
    CUBE_HALF,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    HALF_HEIGHT,
    PLATE_HEIGHT,
    PLATE_RADIUS,
    Placed,
    Scene,
)

TIMESTEP_S = 0.005
JOINTS = ("x", "y", "z", "yaw", "pitch", "roll")
# Bounds of the point between the fingertips [m], and of the rotations [rad].
LOW = (-0.22, -0.26, 0.008, -1.5, -0.4, -0.4)
HIGH = (0.22, 0.26, 0.30, 1.5, 0.4, 0.4)
FINGER_OPEN = 0.041
GRIP_N = 7
HIDDEN_GROUP = 4  # geoms of this group collide but are not drawn

_HEAD = f"""
<mujoco>
  <option timestep="{TIMESTEP_S}" integrator="implicitfast" cone="elliptic" impratio="3"
          iterations="100"/>
  <size memory="8M"/>
  <default>
    <geom condim="3" friction="0.9 0.01 0.0005" solref="0.01 1" solimp="0.97 0.995 0.001"/>
    <default class="hand"><geom rgba="0.24 0.25 0.28 1" mass="0.05"/></default>
    <default class="finger">
      <joint type="slide" range="0 {FINGER_OPEN}" damping="3" armature="0.15"/>
      <geom type="box" mass="0.03" condim="4" friction="1.6 0.03 0.001" priority="1"/>
    </default>
  </default>
  <worldbody>
    <geom name="table" type="plane" size="1 1 1" group="{HIDDEN_GROUP}"/>
"""

_HAND = """
    <body name="hand" pos="0 0 0" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/>
      <joint name="z" type="slide" axis="0 0 1"/><joint name="yaw" axis="0 0 1"/>
      <joint name="pitch" axis="0 1 0"/><joint name="roll" axis="1 0 0"/>
      <inertial pos="0 0 0.05" mass="1" diaginertia="0.004 0.004 0.004"/>
      <geom class="hand" type="box" size="0.017 0.050 0.011" pos="0 0 0.070"/>
      <geom class="hand" type="cylinder" size="0.013 0.03" pos="0 0 0.11" rgba="0.55 0.57 0.6 1"
            contype="0" conaffinity="0"/>
      <camera name="wrist" pos="-0.075 0 0.09" xyaxes="0 -1 0 0.985 0 0.174"/>
      <body name="left" gravcomp="1" childclass="finger">
        <joint name="left" axis="0 1 0"/>
        <geom size="0.010 0.006 0.034" pos="0 0.006 0.026" rgba="0.86 0.87 0.89 1"/>
      </body>
      <body name="right" gravcomp="1" childclass="finger">
        <joint name="right" axis="0 -1 0"/>
        <geom size="0.010 0.006 0.034" pos="0 -0.006 0.026" rgba="0.86 0.87 0.89 1"/>
      </body>
    </body>
"""


def build_model(scene: Scene) -> mujoco.MjModel:
    """Compile the model of a scene.

    Its bodies are `hand`, `left`, `right`, `object0`, `object1` ..., `container0` ...
    """
    bodies = [_object(index, placed) for index, placed in enumerate(scene.objects)]
    bodies += [_container(index, placed) for index, placed in enumerate(scene.containers)]
    text = _HEAD + "".join(bodies) + _HAND + "</worldbody>" + _actuators() + "</mujoco>"
    return mujoco.MjModel.from_xml_string(text)


def _actuators() -> str:
    """Write the servos: stiffness and damping settle in about 50 ms without overshoot."""
    servos = []
    for joint, low, high in zip(JOINTS, LOW, HIGH, strict=True):
        stiffness = 6000 if joint in "xyz" else 40
        servos.append(
            f'<intvelocity joint="{joint}" kp="{stiffness}" dampratio="1" actrange="{low} {high}"/>'
        )
    for finger in ("left", "right"):
        servos.append(
            f'<position joint="{finger}" kp="600" dampratio="1" ctrlrange="0 {FINGER_OPEN}" '
            f'forcerange="-{GRIP_N} {GRIP_N}"/>'
        )
    coupling = (
        '<equality><joint joint1="left" joint2="right" polycoef="0 1 0 0 0" solref="0.01 1" '
        'solimp="0.98 0.99 0.001"/></equality>'
    )
    return f"{coupling}<actuator>{''.join(servos)}</actuator>"


def _object(index: int, placed: Placed) -> str:
    """Write a free body."""
    colour, shape = placed.thing
    half = HALF_HEIGHT[shape]
    geoms = {
        "cube": [f'type="box" size="{CUBE_HALF} {CUBE_HALF} {CUBE_HALF}" mass="0.06"'],
        "ball": [
            f'type="sphere" size="{BALL_RADIUS}" mass="0.05" condim="6" friction="0.9 0.01 0.002"'
        ],
        "cylinder": [f'type="cylinder" size="{CYLINDER_RADIUS} {CYLINDER_HALF}" mass="0.06"'],
        "cross": [
            f'type="box" size="{CROSS_ARM} {CROSS_WIDTH} {CROSS_HALF}" mass="0.03"',
            f'type="box" size="{CROSS_WIDTH} {CROSS_ARM} {CROSS_HALF}" mass="0.03"',
        ],
    }[shape]
    return (
        f'<body name="object{index}" pos="{placed.x!r} {placed.y!r} {half}" euler="0 0 '
        f'{_degrees(placed.yaw)!r}"><joint type="free" damping="0.0004"/>'
        + "".join(f"<geom {geom} {_rgba(colour)}/>" for geom in geoms)
        + "</body>"
    )


def _container(index: int, placed: Placed) -> str:
    """Write a container, which is fixed to the table."""
    colour, kind = placed.thing
    if kind == "plate":
        half = PLATE_HEIGHT / 2
        geoms = [f'type="cylinder" size="{PLATE_RADIUS} {half}" pos="0 0 {half}"']
        inside = f'type="cylinder" size="{0.72 * PLATE_RADIUS} 0.0005" pos="0 0 {PLATE_HEIGHT}"'
    else:
        centre, half = BOX_HALF - BOX_WALL, BOX_HEIGHT / 2
        geoms = []
        inner = BOX_HALF - BOX_WALL
        inside = f'type="box" size="{inner} {inner} 0.002" pos="0 0 0.002"'
        for sign in (-1, 1):
            geoms.append(
                f'type="box" size="{BOX_WALL} {BOX_HALF} {half}" pos="{sign * centre} 0 {half}"'
            )
            geoms.append(
                f'type="box" size="{BOX_HALF} {BOX_WALL} {half}" pos="0 {sign * centre} {half}"'
            )
    return (
        f'<body name="container{index}" pos="{placed.x!r} {placed.y!r} 0">'
        + "".join(f"<geom {geom} {_rgba(colour)}/>" for geom in geoms)
        + f"<geom {inside} {_rgba(colour, pale=0.6)}/></body>"
    )


def _rgba(colour: str, *, pale: float = 0.0) -> str:
    """Write a colour as MJCF, mixed with so much white."""
    red, green, blue = (part + pale * (0.95 - part) for part in COLOURS[colour])
    return f'rgba="{red} {green} {blue} 1"'


def _degrees(angle_rad: float) -> float:
    """Convert to degrees, MJCF's unit of angle."""
    return angle_rad * 57.29577951308232
