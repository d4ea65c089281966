"""Pure choices: who may register, where a request goes and why, how evenly load is spread."""
