"""Contrastive alignment of vision, text and action: losses, and what tells whether they worked."""
