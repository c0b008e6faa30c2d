"""Tables: columns, cells, times and rows, as CSV and Parquet share them."""
