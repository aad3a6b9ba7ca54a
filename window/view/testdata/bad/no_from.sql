-- key: id
SELECT 1 AS id
-- want: a view without FROM; select from at least one source table
