"""What makes pages and pictures of ``docs`` from the code that they are about."""
