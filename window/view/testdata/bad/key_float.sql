-- key: order_id, line, q
SELECT i.order_id, i.line, CAST(i.qty AS DOUBLE) AS q FROM pharmacy.order_items i
-- want: line 2: key column q is a floating-point number; use an integer, decimal or text key
