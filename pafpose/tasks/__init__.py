"""What the scripts do once Hydra has composed their config; each works without Hydra too."""
