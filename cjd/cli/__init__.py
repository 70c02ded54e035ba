"""The command line: `cjd …`. Thin: every command calls one function of a room below."""
