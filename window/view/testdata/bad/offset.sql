-- key: id
SELECT a.id FROM consult.appointments a OFFSET 10
-- want: line 2: LIMIT or OFFSET; which rows remain depends on all others; filter with WHERE, or per anchor with QUALIFY
