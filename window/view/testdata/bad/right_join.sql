-- key: id
SELECT a.id FROM consult.appointments a RIGHT JOIN consult.patients p ON p.id = a.patient_id
-- want: line 2: RIGHT JOIN; put that table first in FROM and write LEFT JOIN
