"""What `moegate` runs: everything on this machine, and one worker of several."""
