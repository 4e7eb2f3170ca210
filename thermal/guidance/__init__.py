"""From images to the next treatment: assess a zone, plan where needles go, control the power by thermometry."""
