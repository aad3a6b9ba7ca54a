-- key: id
SELECT a.id FROM consult.appointments a; SELECT 1
-- want: the file holds 2 statements; write one SELECT
