-- key: id
SELECT a.id, a.status COLLATE NOCASE AS s FROM consult.appointments a
-- want: collate expression; use another expression
