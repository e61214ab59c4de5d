"""The input of a verification: records of topics and rows of tables, decoded to plain facts."""
