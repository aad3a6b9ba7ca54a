-- key: id
SELECT a.id FROM consult.appointments a JOIN pharmacy.orders o ON o.paid AND o.id = 7
-- want: line 2: the condition of JOIN o equates none of its columns with a table before it; join by an equality, e.g. ON o.id = a.o_id; further conditions may follow with AND
