"""What breaks when a modality is missing, noisy or lying, and whether the policy listens at all."""
