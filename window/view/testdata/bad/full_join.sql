-- key: id
SELECT a.id FROM consult.appointments a FULL JOIN consult.patients p ON p.id = a.patient_id
-- want: line 2: FULL JOIN; its rows belong to no anchor; make two views, each with its table first in FROM
