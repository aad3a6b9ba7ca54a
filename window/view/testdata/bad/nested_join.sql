-- key: id
SELECT a.id FROM consult.appointments a LEFT JOIN (pharmacy.orders o JOIN pharmacy.order_items i ON i.order_id = o.id) ON o.appointment_id = a.id
-- want: line 2: a join inside a join; write one FROM with INNER and LEFT JOINs, one table after another
