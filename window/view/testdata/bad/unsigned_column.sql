-- key: id
SELECT a.id, CAST(a.id AS UBIGINT) AS u FROM consult.appointments a
-- want: line 2: column u has the type UBIGINT, which no warehouse column holds; write CAST(... AS DECIMAL(20,0)) AS "u"
