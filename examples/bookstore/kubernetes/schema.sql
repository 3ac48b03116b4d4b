-- The bookstore's database. It lies here, for both ways to run it, since kustomize takes files only from beside its own.
USE bookstore;

CREATE TABLE books (
  id     INT PRIMARY KEY,
  title  VARCHAR(100) NOT NULL,
  author VARCHAR(100) NOT NULL,
  cents  INT NOT NULL,
  stock  INT NOT NULL
);

CREATE TABLE orders (
  id     VARCHAR(64) PRIMARY KEY, -- by whoever orders, so that an order that is sent twice is taken once
  book   INT NOT NULL,
  copies INT NOT NULL,
  cents  INT NOT NULL,
  state  ENUM ('reserved', 'paid', 'declined') NOT NULL,
  FOREIGN KEY (book) REFERENCES books (id)
);

INSERT INTO books VALUES
  (1, 'The Sea-Wolf', 'Jack London', 1290, 1000000),
  (2, 'Twenty Thousand Leagues under the Sea', 'Jules Verne', 1590, 1000000),
  (3, 'The Time Machine', 'H. G. Wells', 790, 1000000),
  (4, 'Frankenstein', 'Mary Shelley', 990, 1000000),
  (5, 'Middlemarch', 'George Eliot', 1490, 1000000),
  (6, 'The Trial', 'Franz Kafka', 1090, 1000000),
  (7, 'Moby-Dick', 'Herman Melville', 1390, 1000000),
  (8, 'Persuasion', 'Jane Austen', 890, 1000000),
  (9, 'Bleak House', 'Charles Dickens', 1690, 1000000),
  (10, 'Kim', 'Rudyard Kipling', 990, 1000000),
  (11, 'The Moonstone', 'Wilkie Collins', 1190, 1000000),
  (12, 'Poems by Currer, Ellis and Acton Bell', 'The Brontë sisters', 45000, 0);
