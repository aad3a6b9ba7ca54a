-- key: id
SELECT a.id FROM appointments a
-- want: line 2: table appointments names no source; write source.table: consult.appointments
