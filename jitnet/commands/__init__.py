"""What the commands do, a file each: ``run(options)`` returns the exit status."""
