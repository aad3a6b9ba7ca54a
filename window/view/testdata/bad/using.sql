-- key: id
SELECT a.id FROM consult.appointments a JOIN consult.patients p USING (id)
-- want: line 2: USING; write ON left.column = right.column
