# The steps of README.md by httr.
suppressPackageStartupMessages(library(httr))
library(jsonlite)

# Lists of numbers, or of texts, are vectors, as R's users write them; httr makes scalars of those that have one element.
vectors <- function(x) {
  if (!is.list(x)) return(x)
  plain <- length(x) > 0 && is.null(names(x)) &&
    (all(vapply(x, is.numeric, NA)) || all(vapply(x, is.character, NA)))
  if (plain) return(unlist(x))
  lapply(x, vectors)
}

task <- fromJSON(file("stdin"), simplifyVector = FALSE)
known <- list()

request <- function(method, path, body = list(ignore = "R compatibility issues")) {
  answer <- VERB(method, paste0(task$base, path), body = body, encode = "json", content_type_json())
  text <- content(answer, "text", encoding = "UTF-8")
  if (status_code(answer) >= 300) stop(text)
  fromJSON(text, simplifyVector = FALSE)
}

one <- function(value) {
  if (is.list(value) && !is.null(value$ref)) return(list(representation_uuid = known[[value$ref]]))
  vectors(value)
}
body <- function(step) list(args = lapply(step$args, one), kwargs = lapply(step$kwargs, one))

returned <- function(step, answer) {
  if (answer$type != "uuid") return(list(none = TRUE))
  if (!is.null(step$as)) known[[step$as]] <<- answer$uuid
  list(representation = TRUE)
}

attribute <- function(step) request("GET", paste0("/representation/", known[[step$on]], "/", step$name))

call <- function(step) {
  uuid <- if (is.null(step$name)) known[[step$on]] else attribute(step)$uuid
  request("PATCH", paste0("/representation/", uuid), body(step))
}

download <- function(uuid) request("GET", paste0("/representation/", uuid))

until <- function(step) {
  end <- Sys.time() + 60
  while (Sys.time() < end) {
    answer <- call(step)
    if (answer$type != "uuid") next
    if (is.null(step$want) || identical(as.numeric(download(answer$uuid)$object), as.numeric(step$want))) {
      return(returned(step, answer))
    }
    Sys.sleep(0.02)
  }
  stop("it did not come")
}

do <- function(step) switch(step$do,
  list = list(value = request("GET", "/representations")$list),
  create = returned(step, request("POST", "/representations", body(step))),
  upload = returned(step, request("PUT", "/representations", body(step))),
  attribute = returned(step, attribute(step)),
  call = returned(step, call(step)),
  until = until(step),
  download = list(value = download(known[[step$on]])$object),
  release = returned(step, request("DELETE", paste0("/representation/", known[[step$on]])))
)

for (step in task$steps) {
  outcome <- tryCatch(do(step), error = function(e) list(error = conditionMessage(e)))
  # toJSON writes 15 digits, and 17 say which number it is.
  outcome <- rapply(outcome, function(x) structure(format(x, digits = 17), class = "json"), classes = "numeric", how = "replace")
  cat(toJSON(outcome, auto_unbox = TRUE, null = "null", json_verbatim = TRUE), "\n", sep = "")
}
