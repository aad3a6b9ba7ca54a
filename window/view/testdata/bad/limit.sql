-- key: id
SELECT a.id FROM consult.appointments a LIMIT 10
-- want: LIMIT or OFFSET; which rows remain depends on all others; filter with WHERE, or per anchor with QUALIFY
