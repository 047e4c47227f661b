"""The page: one module a tab, the compare component, the words and the server."""
