"""What both doors share: how a request is built, how routing is told, how an answer is collected."""
