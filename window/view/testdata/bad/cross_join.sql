-- key: id
SELECT a.id FROM consult.appointments a CROSS JOIN consult.patients p
-- want: line 2: a join without a condition (CROSS JOIN or a comma); write JOIN ... ON left.column = right.column
