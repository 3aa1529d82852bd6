-- Partitions are PostgreSQL's; here usage stays one table, and what has outlived its time is removed row by row.
SELECT 1;
