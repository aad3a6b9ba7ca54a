-- key: id
SELECT a.id FROM consult.appointments a JOIN pharmacy.orders o ON o.appointment_id = a.id JOIN pharmacy.notes n ON n.order_id = o.id
-- want: line 2: pharmacy.notes has no primary key; rows without a key cannot be followed; add a primary key in the source
