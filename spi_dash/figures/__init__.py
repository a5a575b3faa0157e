"""Pure functions: values in, what the pages draw out."""
