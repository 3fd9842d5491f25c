"""How a trained policy is judged: rollouts, statistics, offline error, cost, diagnostics."""
