-- key: id
VALUES (1)
-- want: expression list in FROM; write one FROM with INNER and LEFT JOINs, one table after another
