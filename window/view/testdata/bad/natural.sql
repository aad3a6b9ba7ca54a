-- key: id
SELECT a.id FROM consult.appointments a NATURAL JOIN consult.patients p
-- want: line 2: NATURAL JOIN; write JOIN ... ON left.column = right.column
