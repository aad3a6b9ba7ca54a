-- key: id
SELECT o.id FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id
-- want: the key lacks the primary key column id of the anchor consult.appointments; select a.id and add it to key
