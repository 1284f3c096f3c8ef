"""Start the processes of a job, on this machine or several, and end all of them by the first failure."""
