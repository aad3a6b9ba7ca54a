-- key: id
SELECT a.id, list_transform([1], x -> x + 1)[1] AS l FROM consult.appointments a
-- want: line 2: list_transform() is not among the functions known to give the same result every time; use another function, or do this step in a job on the warehouse
-- want: line 2: lambda expression; use another expression
