-- key: id
SELECT a.id, x.upper(a.status) AS s FROM consult.appointments a
-- want: line 2: function x.upper; call functions without a schema
