"""The guided way from an image to a tuned model: five steps, kept on the server, and a summary to share."""
