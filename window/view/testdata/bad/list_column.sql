-- key: id
SELECT a.id, [a.status] AS l FROM consult.appointments a
-- want: line 2: column l has the type VARCHAR[], which no warehouse column holds; write CAST(... AS VARCHAR) AS "l"
