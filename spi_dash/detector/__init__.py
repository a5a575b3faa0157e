"""The universal insect detector: finds insects on pictures of sticky cards. Needs the extra `[detector]`."""
