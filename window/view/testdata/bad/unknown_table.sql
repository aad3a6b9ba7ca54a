-- key: id
SELECT a.id FROM consult.apointments a
-- want: line 2: unknown table consult.apointments (did you mean consult.appointments?); name a table that a source of the project captures
