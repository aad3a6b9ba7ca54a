SELECT a.id FROM consult.appointments a
-- want: the view has no key; set key: [...] to the columns that identify an output row
