"""Playing the jobs: the executor process, and the server that watches over it."""
