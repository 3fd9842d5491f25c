"""The built-in tabletop, registered with Gymnasium as `plait/Tabletop-v0`."""

import gymnasium

ENV_ID = "plait/Tabletop-v0"

gymnasium.register(
    ENV_ID, entry_point="plait.envs.tabletop.env:TabletopEnv", disable_env_checker=True
)
