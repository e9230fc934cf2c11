"""The rules that a request must keep, and the form that an answer must keep."""
