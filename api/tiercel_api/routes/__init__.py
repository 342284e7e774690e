"""The handlers, one module per noun. Each lists its routes in `ROUTES`; `app` serves them."""
