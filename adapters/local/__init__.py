"""The built-in classifier: a small network for the ten CIFAR labels."""
