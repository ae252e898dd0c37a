# The columns that R's model.matrix gives to formulas: Rscript model_matrix.R > model_matrix.csv (R 4.2.2)

formulas <- c(
  "a + b", "0 + a + b", "b - 1 + a", "a * b", "(a + b)**2", "a:b", "0 + a:b", "a + a:b", "b:a + a",
  "a * b - a", "a * b - a - b", "a * b - 1", "a:x", "0 + a:x", "a / x", "x + a:x", "a * x - 1",
  "x:a + b - 1", "a:b:x", "x + a:b:x", "x:z:a", "a:b:c", "a:b:c - 1", "a + a:b:c", "a / b / c",
  "a / (b + c)", "(a + b) / c", "a * b * c - a:b", "(a + b + c)**2 - a:b", "a + b:c", "a:b * x", "t",
  "0 + t", "a:t", "t:x", "0 + t + a", "0 + x + a:b", "0 + a:b + a:c", "0 + a:b + c", "(a + b):c",
  "a:b + b:c", "a:x + b:x", "0 + x + a:x", "x:z + a:x", "a:x + a:b"
)
people <- expand.grid(
  a = factor(c("p", "q", "r")), b = factor(c("u", "v")), c = factor(c("k", "l", "m")),
  t = c(FALSE, TRUE)
)
people$x <- seq_len(nrow(people))
people$z <- people$x^2
columns <- sapply(formulas, function(formula) {
  matrix <- model.matrix(as.formula(paste("~", gsub("**", "^", formula, fixed = TRUE))), people)
  paste(sub("(Intercept)", "1", colnames(matrix), fixed = TRUE), collapse = " ")
})
write.csv(data.frame(formula = formulas, columns = columns), row.names = FALSE, quote = FALSE)
