-- key: id
SELECT a.id FROM consult.appointments a UNION ALL SELECT p.id FROM consult.patients p
-- want: UNION, EXCEPT or INTERSECT; make one view per SELECT, and unite them in the warehouse
